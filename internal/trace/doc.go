// Package trace finds the way that one flow took through the topics: every record that follows from it, hop by hop.
//
// Each record names the record that it follows from (header fl-cause) and the time of the step that wrote it
// (fl-now). [Scan] reads those headers, read-committed; [Build] joins them, from the records under an id's keys, to
// their causes and to all that they caused; the rest shows it, as text for people, JSON for programs and a picture.
//
// Always true: values are not looked at, so nothing of a tenant is shown but keys; the same records give the same
// trace; a hop is one topic crossing.
//
// internal/cli calls it for `fairlead trace` and `fairlead demo`.
package trace
