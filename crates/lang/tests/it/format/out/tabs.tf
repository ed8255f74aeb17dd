locals {
  a   = 1
  bbb = 2 # c
  c   = [1, 2]
  d   = "a	b"
}
