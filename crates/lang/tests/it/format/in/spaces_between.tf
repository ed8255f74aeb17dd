a   =   1   
b = "x   "   
c   {   
   d   =   1   


   e   =   2   


}   



f = 1
