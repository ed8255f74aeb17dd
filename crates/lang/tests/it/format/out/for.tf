locals {
  a = [for x in y : x]
  b = [for k, v in y : k]
  c = { for k, v in y : k => v }
  d = { for k, v in y : k => v... if v != null }
  e = { for k, v in y : k => v... }
  f = [for x in [1, 2] : x]
  g = [for x in { a = 1 } : x]
  h = [for x in(y) : x]
  i = [
    for x in y :
    x
    if x > 1
  ]
  j = {
    for k, v in y :
    k => {
      a = v
    }
    if v != ""
  }
  k = [for in in in : in]
  l = in[0]
}
