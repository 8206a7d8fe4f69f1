module github.com/fairleadio/fairlead/demo/mallory

go 1.26.0

require (
	github.com/fairleadio/fairlead/apps/tokens v0.0.0
	github.com/fairleadio/fairlead/sdk v0.0.0
)

replace (
	github.com/fairleadio/fairlead/apps/tokens => ../../apps/tokens
	github.com/fairleadio/fairlead/sdk => ../../sdk
)
