"""Object stores: the few calls that a load needs."""
