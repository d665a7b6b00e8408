"""All methods on the same later days: table, figures and the report of a sweep."""
