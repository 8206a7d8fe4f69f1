package postgres

// Classify makes an [Error] of what the driver returned, for packages below this one that use the driver themselves;
// doing is what was being done. nil stays nil.
func Classify(doing string, err error) error { return classify(doing, err) }
