import FaultTolerance

@main
struct FaultToleranceAlone {
    static func main() async throws {
        let log = InMemoryWriteAheadLog()
        let handle = try await log.write([1, 2, 3], time: .zero)
        let record = try await log.read(handle)
        precondition(record == [1, 2, 3])
        await log.close()
    }
}
