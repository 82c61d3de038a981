"""What authorisation answers when it lets somebody or something not in."""

from crm_kernel import Forbidden, Unauthenticated, Unavailable


class _TokenRefused(Unauthenticated):
    """401 with the challenge that RFC 6750 asks for. The detail never repeats anything from the token."""

    def __init__(self, detail: str | None = None) -> None:
        said = detail or self.title
        super().__init__(
            said, headers={"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{self.code}"'}
        )


class TokenInvalid(_TokenRefused):
    """401: not an access token of ours, or damaged."""

    code = "token.invalid"
    title = "A valid access token is needed"


class TokenExpired(_TokenRefused):
    """401: a good token whose time is over. Refresh and go on."""

    code = "token.expired"
    title = "The access token has expired"


class TokenStale(_TokenRefused):
    """401: rights, place or session changed since the token was issued (ID-24). Refresh and go on."""

    code = "token.stale"
    title = "The access token was issued before your rights changed"


class DirectoryBehind(Unavailable):
    """503: the token knows more than this service's replica of the directory; in a moment it will have caught up."""

    code = "directory.behind"
    title = "This service has not yet heard of your newest rights"


class TargetOutOfScope(Forbidden):
    """403: the record would go to, or be created for, somebody whom the caller's scope does not reach."""

    code = "scope.target_out_of_scope"
    title = "You may not give records to this user"
