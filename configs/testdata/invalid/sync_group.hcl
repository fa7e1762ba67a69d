virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
}
virtual_router "web6" {
  interface = "eth0"
  id        = 51
  addresses = ["fe80::100/64"]
}
sync_group "edge" {
  members = ["web", /* error: Invalid members: members takes the name of a virtual_router; there is none "web4"; did you mean "web"? */ "web4", /* error: Duplicate member: "web" is already used at testdata/invalid/sync_group.hcl:12. */ "web", /* error: Invalid members: members takes a text in quotes, not 6. */ 6]
}
sync_group "other" {
  members = ["web6", /* error: Member of two groups: "web" is in sync_group "edge" already: a virtual router moves with one group at most. */ "web"]
}
sync_group /* error: Duplicate sync_group name: "other" is already used at testdata/invalid/sync_group.hcl:14. */ "other" {
  members = /* error: Invalid members: members takes at least one virtual_router. */ []
}
/* error: Missing members: members is required in this block. */ sync_group /* error: Invalid name: name takes 1 to 63 characters without a slash or white space. */ "a b" {
}
