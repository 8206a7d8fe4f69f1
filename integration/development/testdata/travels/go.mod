module travels

go 1.26.0

require github.com/fairleadio/fairlead/sdk v0.0.0

replace github.com/fairleadio/fairlead/sdk => ../../../../sdk
