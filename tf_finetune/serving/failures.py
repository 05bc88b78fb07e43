"""What is answered to a request that cannot be fulfilled."""


class RequestError(Exception):
    """A request is answered with an error, and the server goes on.

    Attributes:
        status: The HTTP status: 4xx, the request is at fault; 503, too much
            is asked at once; 500, the model or this server is.
        message: A sentence for whoever sent it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
