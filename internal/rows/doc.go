// Package rows turns what an application declares (tables and named queries) and what its flows ask (rows as JSON
// objects, keys, parameters) into SQL statements with arguments, and results back into JSON objects.
//
// Always true: the text of a statement comes from declarations alone, never from a request; whatever a request brings
// is an argument with a declared type; a value that goes in comes out the same, or is refused ("numeric" travels as
// text, timestamps in UTC with microseconds); a refusal is a *[Problem] that names table, row, column and remedy.
// Nothing here needs a database.
//
// [Check] says what is wrong with declarations: the database worker calls it before it installs a package, the package
// tool before it makes one. The persistence worker builds its statements with [Compile].
package rows
