"""The data layer: a data set is a folder that every other part reads through `Panel`.

`schema` is the contract, `writer` writes it, `panel` reads it, `generate`, `import_m5` and
`import_long` make data sets, `quality` counts bad rows, `check` verifies a finished set.
"""
