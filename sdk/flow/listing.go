package flow

// Listing is what a module answers to fairlead_start with an empty flow class: Done, with this as JSON. The
// platform asks when a package is built or uploaded, to learn which flow classes there are.
type Listing struct {
	Flows []ListedFlow `json:"flows"`
}

// ListedFlow is one flow of a module.
type ListedFlow struct {
	// Class is the name that the flow is registered under.
	Class string `json:"class"`
	// Startable is false for internal flows.
	Startable bool `json:"startable"`
}
