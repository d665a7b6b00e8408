"""What turns an observation into an order: action models, networks, order-up-to rules."""
