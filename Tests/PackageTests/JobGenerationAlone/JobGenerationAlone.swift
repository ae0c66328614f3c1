import JobGeneration

@main
struct JobGenerationAlone {
    static func main() throws {
        let configuration = try RateEstimatorConfiguration(name: "pid")
        _ = try configuration.makeEstimator(batchInterval: .seconds(1))
    }
}
