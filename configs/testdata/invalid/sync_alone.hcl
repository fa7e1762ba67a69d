/* error: Missing interface: interface is required in this block. */ /* error: Missing virtual_router: The sync daemon sends while a virtual_router is master, and receives while it is not: without one, nothing is in sync. */ connection_sync {
}
