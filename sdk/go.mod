module github.com/fairleadio/fairlead/sdk

go 1.26.0
