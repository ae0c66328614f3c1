public import DStreamCore

/// Checks that what takes rates keeps the promises of `RateController`.
///
/// - Parameters:
///   - make: makes one that has no rates yet.
///   - read: the rate in force for a stream, in elements per second; nil: none.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what was thrown.
public func checkRateController<Controller: RateController>(
    _ make: () async throws -> Controller,
    read: (Controller, StreamID) async throws -> Double?
) async throws {
    let controller = try await make()
    let (first, second) = (StreamID(0), StreamID(7))
    await controller.updateRate(50, of: first)
    await controller.updateRate(20, of: second)
    let rates = [try await read(controller, first), try await read(controller, second)]
    try require(rates == [50, 20], "a rate is of its stream alone: \(rates)")
    for rate in [10.0, 1000.0, 0.5, 30.0] {
        await controller.updateRate(rate, of: first)
        let found = try await read(controller, first)
        try require(found == rate, "the last rate wins: \(rate)")
    }
    for rate in [0, -1, -Double.infinity, Double.nan] {
        await controller.updateRate(rate, of: first)
        let found = try await read(controller, first)
        try require(found == 30, "a rate that is not more than 0 is ignored: \(rate)")
    }
    let other = try await read(controller, second)
    try require(other == 20, "a rate stays until the stream's next one")
}
