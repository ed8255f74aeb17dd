locals {
  a  = 1 + 2 * 3 - 4 / 5 % 6
  b  = -1
  c  = -1
  d  = 1 - 1
  e  = 1 - 1
  f  = 1 - -1
  g  = (-1)
  h  = [-1, -2]
  i  = { a = -1, b : -2 }
  j  = !true
  k  = !true
  l  = !(!true)
  m  = a && b || c
  n  = a == b
  o  = a != b && c >= d || e <= f
  p  = a > b ? c : d
  q  = a > b ? -1 : -1
  r  = a ? b : c
  s  = a[-1]
  t  = f(-1)
  u  = f(a, b)
  v  = f(a)
  w  = a - -b
  x  = a * -b
  y  = a == -1
  z  = a > -1
  aa = a < -1
  ab = a && -b
  ac = a || -b
  ad = a % -b
  ae = (a)
  af = a ? -b : -c
  ag = "x" == "y"
  ah = f(a...)
  ai = f(a...)
  aj = 1 - a.b
  ak = a.b-1
  al = f(x) - 1
  am = a[0] - 1
  an = "${a}" - 1
  ao = provider::a::b(1)
  ap = provider::a::b(1)
  aq = core::upper("x")
}
