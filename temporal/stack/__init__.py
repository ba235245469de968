"""All temporal layers of one file: configuration, the plan of their places, and the module that holds them."""
