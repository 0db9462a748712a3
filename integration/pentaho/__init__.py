"""The route by Pentaho Data Integration: a job with its transformations, and a checker that reads them as PDI does."""
