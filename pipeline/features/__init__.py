"""What a policy may know on a morning: the past, the plan and the forecast as numbers."""
