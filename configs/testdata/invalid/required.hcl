/* error: Missing interface: interface is required in this block. */
/* error: Missing id: id is required in this block. */
/* error: Missing addresses: addresses is required in this block. */ virtual_router "web" {
  /* error: Missing source: source is required in this block. */ /* error: Missing peers: peers is required in this block. */ unicast {
  }
}
/* error: Missing address: address is required in this block. */ virtual_server "web" {
  /* error: Missing address: address is required in this block. */ real_server "web1" {
  }
}
