"""The long table: one row per SKU, warehouse and day, however another program wrote it."""
