resource "a" "b" {
  count = 1
  nested {
    x = 1
    deeper {
      y = 2
    }
  }
  list = [
    1,
    2,
    [
      3
    ],
  ]
  map = {
    a = 1
    b = {
    c = 2 }
    d = [1, 2
    ]
  }
  call = merge(
    var.a,
    {
      x = 1
    },
    [
      for x in y :
      x
    ]...
  )
}
locals { one = 1 }
locals {
}
locals {}
