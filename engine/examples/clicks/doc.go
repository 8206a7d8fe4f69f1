// Command clicks is a worked example of package engine for people who know goka: it counts clicks for each user, and
// shows that the count is right after its processor was killed in the middle. It brings its own broker.
package main
