"""The trial: kills, damage and second writers, many times over, with figures. Long; ``make trial`` runs it."""
