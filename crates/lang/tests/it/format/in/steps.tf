locals {
  a = b . c
  d = b [0]
  e = b[ 0 ]
  f = b[ "x" ] . y
  g = b . * . c
  h = b[ * ].c
  i = b.0.c
  j = f(x) [0]
  k = "x" [0]
  l = [1] [0]
  m = { a = 1 } ["a"]
  n = (a) [0]
  o = a . b [ c . d ]
  p = 1 [0]
  q = a.b.c [each.key] [count.index]
  r = "${a}" [0]
}
