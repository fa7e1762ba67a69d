virtual_router "web" {
  interface = "eth0"
  id        = 51
  addresses = ["10.0.0.100/32"]
  track_interface "eth1" {
    weight = -20
  }
  track_interface "eth2" {
    weight = /* warning: Members that disagree: Weight -10 changes the priority of "web" alone, and sync_group "edge" moves only if all of its members do: give "web6" the same track_interface, or write weight = 0, a fault, which moves all. */ -10
  }
  track_process "haproxy" {}
}
virtual_router "web6" {
  interface     = "eth0"
  id            = 51
  priority      = /* warning: Members that disagree: priority is 90 here and 100 in "web", of the same sync_group "edge": the group is master only where each of its members would be. */ 90
  preempt_delay = /* warning: Members that disagree: preempt_delay is 5s here and 0s in "web", of the same sync_group "edge": the group waits for the longest. */ "5s"
  startup_delay = /* warning: Members that disagree: startup_delay is 2s here and 0s in "web", of the same sync_group "edge": the group waits for the last member to start. */ "2s"
  addresses     = ["fe80::100/64"]
  track_interface "eth1" {
    weight = -20
  }
  track_interface "eth2" {}
}
virtual_router "alone" {
  interface = "eth0"
  id        = 53
  addresses = ["10.0.0.102/32"]
  track_interface "eth2" {
    weight = -10
  }
}
virtual_router "stay" {
  interface = "eth0"
  id        = 54
  preempt   = false
  addresses = ["10.0.0.103/32"]
}
virtual_router "go" {
  interface = "eth0"
  id        = 55
  preempt   = /* warning: Members that disagree: preempt is true here and false in "stay", of the same sync_group "stays": the group preempts only if all of its members do. */ true
  preempt_delay = "5s" # what it would wait for is moot
  addresses = ["10.0.0.104/32"]
}
sync_group "edge" {
  members = ["web", "web6"]
}
sync_group "one" {
  members = ["alone"]
}
sync_group "stays" {
  members = ["stay", "go"]
}
