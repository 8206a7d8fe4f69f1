package native

// Main does nothing on the platform, which calls the module's exported functions.
func Main() {}
