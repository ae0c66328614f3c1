import StreamingContext

/// Receives what a device measures.
struct DeviceReceiver: Receiver {
    let connect: @Sendable () async throws -> AsyncThrowingStream<Double, any Error>

    func run(_ output: ReceiverOutput<Double>) async throws {
        for try await value in try await connect() {
            try await output.store(value)
        }
    }
}

/// The mean of each batch that has measurements.
func means(of measurements: DStream<Double>) -> DStream<Double> {
    measurements
        .map { ($0, 1) }
        .reduce { ($0.0 + $1.0, $0.1 + $1.1) }
        .map { $0.0 / Double($0.1) }
}
