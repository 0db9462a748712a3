"""The WSO2 route: a Micro Integrator project, its twin for Apache Synapse, and a checker of both."""
