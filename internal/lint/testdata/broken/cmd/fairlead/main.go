// Command fairlead says what it is.
package main

func main() {}
