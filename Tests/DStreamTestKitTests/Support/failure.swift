import DStreamTestKit

/// What a check says of an implementation: the broken promise, or that it found none.
func failure(of check: () async throws -> Void) async -> String {
    do { try await check() } catch let failure as CheckFailure {
        return failure.description
    } catch { return "not a CheckFailure: \(error)" }
    return "nothing was noticed"
}
