// Package uniqueness is a notary's memory: it decides which transaction may consume a state, and remembers every answer.
//
// The decision is pure: [Decide] gets a request, the time and a [Memory], and returns the answer and what is to be
// remembered. The rules are those of Corda 5.2's uniqueness checker:
//
//   - a transaction id that was answered gets the same answer again, whatever the clock says by now;
//   - otherwise the checks come in this order, and the first that fails is the answer, with all states of its kind: inputs
//     that nobody made, references that nobody made, inputs that another transaction has consumed, references likewise, the
//     time window;
//   - an answer is final, a refusal as well as an acceptance; only what cannot be a transaction is not remembered;
//   - a reading request tells what is remembered and changes nothing.
//
// It remembers a row for each transaction and one for each consumed state: that a state exists follows from the number of
// outputs of the transaction that made it. What a refusal names is kept whole.
package uniqueness
