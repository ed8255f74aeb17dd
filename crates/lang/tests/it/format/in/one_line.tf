a { }
b {   }
c { x=1 }
d {x=1}
e "f" {x={}}
g { x = [1,2] }
h { x = { y = 1 } }
i {
}
j { x = "${y}" }
k { type = "list" }
l { x = f(1) } # comment
mm { x = 1 } # comment
