"""What a policy costs on given days, and how sure that figure is."""
