"""Grants: given, listed, explained and revoked by who manages the target."""

from flask_smorest import Blueprint

blueprint = Blueprint("grants", __name__, description="Grants: who may do what with which data.")
