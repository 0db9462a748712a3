"""What holds for a Micro Integrator project: its shape, its references, and that nothing gets lost."""
