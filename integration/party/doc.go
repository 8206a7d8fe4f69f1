// Package party sets up what an integration suite of applications needs: servers, processes of workers as an operator
// would start them, an application on virtual nodes by the commands of docs/operate/cluster.md, and the words in which a
// run tells what it does. Suites chat, channels, notary and pay are the callers; their tests say what happens then.
package party
