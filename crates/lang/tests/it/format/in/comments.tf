#no space
//slashes
   # indented
/* block */
/* several
   lines
     of it */
resource "a" "b" { # after brace
    # inside
  a = 1 #x
  bbb = 2    #y
  /* before */ c = 3
  d = /* in */ 4
  e = 5 /* after */
  f = [ # open
    1, # one
    22222, # two
    # alone
  ] # close
  g = { # open
    a = 1 # one
    # alone
    bbbb = 2 # two
  } # close

  #last
}   # end
/* a */ resource /* b */ "c" /* d */ "e" /* f */ {
}
resource /* only */ {
}
locals {
  x = 1 // a
  // b
  yyyyyyyy = 2 // c
  z = (  # p
    1 +   # q
    2     # r
  )
}
#