a = !b
c = ! b
d = !!b
e = a&&!b
f = [!a,! b]
g = !f(x)
h = a?!b:!c
