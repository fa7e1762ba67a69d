virtual_router /* error: Missing name for virtual_router: All virtual_router blocks must have 1 labels (name). */ {
}
log /* error: Extraneous label for log: No labels are expected for log blocks. */ "x" {
}
