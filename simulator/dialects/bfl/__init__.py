"""Black Forest Labs' wire: pictures and clips by FLUX, as tasks that are polled where their submission says."""
