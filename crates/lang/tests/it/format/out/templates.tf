locals {
  a = "x ${y} z"
  b = "${y}${z}"
  c = { a = 1 }
  d = { a = 1 }
  e = "x ${ { a = 1 } }"
  f = "%{if a}b%{else}c%{endif}"
  g = "%{if a~}  b  %{~else~}  c  %{~endif}"
  h = "%{for x in [1, 2]}${x},%{endfor}"
  i = "$${not} %%{not} $ % \" \\ \n"
  j = a
  k = "a${"b${"c"}"}d"
  l = a
  m = "${a} "
  n = "x"
  o = "x${y}"
  p = f("${x}")
  q = a ? "x" : "y"
  r = <<EOT
text
EOT
  s = a
  t = (a ?
  b : c)
  u = (
    a
  )
  v  = ["${a}", { b = "${c}" }]
  w  = ("${a}")
  x  = a # comment
  y  = /* c */ a /* d */
  z  = "${a}${"b"}"
  aa = f("${a}")
  ab = a /* c */
  ac = "%{if true}x%{endif}"
  ad = "%{if true}x%{endif}"
  ae = "${a}" [0]
  af = "${a}" == "${a}"
  ag = "$"
  ah = "a$"
  ai = 1 + 1
  aj = -1
  ak = "$${${a}"
}
block {
  a = a
  nested {
    b = b
  }
  nested { c = c }
}
