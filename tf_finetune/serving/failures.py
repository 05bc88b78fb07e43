"""Error of a request, with its HTTP status."""


class RequestError(Exception):
    """Error of one request that is returned to its client.

    Attributes:
        status: The HTTP status: 4xx, the request is at fault; 503, the server
            is overloaded; other 5xx, the model or the server is at fault.
        message: A sentence for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
