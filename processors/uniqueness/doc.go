// Package uniqueness is a notary's memory: it decides which transaction may consume a state, and remembers every answer.
//
// The group consumes uniqueness.requests, keyed by the notary's holding identity, so that one notary has one order of
// requests and one decision maker. What one poll brings is one batch: decoded side by side, the rows that it may need read
// ahead, then decided one by one in the order of the log, each request seeing what those before it did. Its store "memory"
// has a row for each transaction and one for each consumed state, and nothing else: that a state exists follows from the
// number of outputs of the transaction that made it. What a refusal names is kept whole. Answers go to
// flow.replies.uniqueness.
//
// The decision is pure: [Decide] gets a request, the time and a [Memory], and returns the answer and what is to be
// remembered; [Step] is what surrounds it. The rules are those of Corda 5.2's uniqueness checker:
//
//   - a transaction id that was answered gets the same answer again, whatever the clock says by now;
//   - otherwise the checks come in this order, and the first that fails is the answer, with all states of its kind: inputs
//     that nobody made, references that nobody made, inputs that another transaction has consumed, references likewise, the
//     time window;
//   - an answer is final, a refusal as well as an acceptance; only what cannot be a transaction is not remembered;
//   - a reading request tells what is remembered and changes nothing.
//
// Always true: a state has one spender; a transaction has one answer; answers, rows and the offsets of their requests
// commit in one transaction of Kafka; no two decisions of a notary have the same time, and the later one has the greater;
// nothing in memory outlives the batch that read it, so that nothing is ever ahead of the log. A request that cannot be put
// to a notary is answered with an error; one that nobody could be answered about goes to the dead letters; a row that
// cannot be read stops the worker.
//
// Flow workers ask. internal/app runs the group, and refuses to when the topics could lose a row.
package uniqueness
