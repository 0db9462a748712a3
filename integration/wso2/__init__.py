"""The WSO2 route: a Micro Integrator project with its checker, its twin for Apache Synapse, and its metrics."""
